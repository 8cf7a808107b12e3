//! What `emcrm serve --demo` puts into an empty data folder.

use std::sync::Arc;

use emcrm_app::App;

/// Does nothing when there is somebody already.
#[expect(clippy::unused_async, reason = "written next")]
pub async fn fill(_: &Arc<App>) -> anyhow::Result<()> {
    anyhow::bail!("--demo is not there yet")
}
