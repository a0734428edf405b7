//! `aleph devnet`: a network that outlives the command that started it.

use std::fs;

use aleph_devnet::NetworkState;
use aleph_qemu_tests::Cli;
use anyhow::{Context, Result, ensure};

use crate::paths;

#[tokio::test]
async fn a_devnet_comes_up_is_found_again_and_goes_down() -> Result<()> {
    let Some((layout, paths)) = paths("build", "devnet") else { return Ok(()) };
    // What an earlier try left behind must not go on without its record.
    if let Ok(Some(old)) = NetworkState::read(&paths.folder) {
        let _ = old.down(&paths.folder);
    }
    let _ = fs::remove_dir_all(&paths.folder);
    fs::create_dir_all(&paths.folder)?;
    let cli = Cli::new(&paths.folder.join("client.json"))?;
    let folder = paths.folder.to_str().context("a path that is not UTF-8")?;
    let image = layout.build();
    let image = image.to_str().context("a path that is not UTF-8")?;
    let place = ["--folder", folder, "--image", image, "--chain-port", "0", "--node-port", "0"];
    let up = cli.json(&[&["devnet", "up"], &place[..]].concat());
    let found = up.and_then(|up| {
        ensure!(up["up"] == true, "not up: {up}");
        let status = cli.json(&["devnet", "status", "--folder", folder])?;
        ensure!(status == up, "another status: {status}");
        let (code, again) = cli.json_with_code(&[&["devnet", "up"], &place[..]].concat())?;
        ensure!(code == 1 && again.to_string().contains("devnet down"), "twice: {again}");
        cli.json(&["node", "status"])
    });
    // Down before anything else is judged: a failed case must not leave machines behind.
    let down = cli.json(&["devnet", "down", "--folder", folder])?;
    let node = found?;
    ensure!(node["node"]["profile"] == "release", "not the release image: {node}");
    ensure!(down["up"] == false, "still up: {down}");
    let (code, gone) = cli.json_with_code(&["node", "status"])?;
    ensure!(code == 4, "the node still answers: {gone}");
    Ok(())
}
