//! `aleph upload`.

use std::path::Path;

use anyhow::Result;

use crate::context::Context;

pub(crate) async fn run(context: &Context, file: &Path) -> Result<()> {
    let client = context.client()?;
    let info = client.node().upload_file(file).await?;
    context.output.print(&info, |info| info.cid.to_string())
}
