//! The walk through everything, on the release image.

use aleph_qemu_tests::Walkthrough;
use anyhow::Result;

use crate::paths;

#[tokio::test]
async fn from_power_on_to_a_running_machine_and_back() -> Result<()> {
    let Some((layout, paths)) = paths("build", "spine") else { return Ok(()) };
    let walk = Walkthrough::start(&layout, paths).await?;
    walk.attest()?;
    walk.activate().await?;
    let job = walk.create_instance()?;
    walk.see_login(&job).await?;
    walk.see_heartbeats(&job).await?;
    walk.stop_instance(&job)?;
    walk.power_off().map(drop)
}
