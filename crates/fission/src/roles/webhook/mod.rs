//! `fission webhook`: refuses wrong objects before the cluster's API server stores them.
//!
//! [`review`] is what it answers, [`certificate`] decides about its own certificate, [`keeper`] carries that out,
//! [`listener`] serves whatever certificate is current.

mod certificate;
mod keeper;
mod listener;
mod review;

use std::time::Duration;

use anyhow::Result;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;

use super::context::{self, Context};
use keeper::Keeper;
use listener::Served;

/// Where the API server asks.
const PORT: u16 = 9443;
/// How long requests are still taken after the end was asked for: until everybody knows that others serve now.
const LINGER: Duration = Duration::from_secs(5);

/// Runs until told to end.
pub(super) async fn run() -> Result<()> {
    let mut context = Context::start("webhook").await?;
    context.serve_health(Registry::default()).await?;
    let served = Served::nothing();
    match context.settings.webhook_tls.as_str() {
        "self" => {
            let keeper = Keeper::new(&context.client, &context.settings, served.clone());
            context.background.spawn(keeper.run());
        }
        _ => {
            let folder = context.settings.webhook_tls_path.clone();
            context.background.spawn(served.clone().follow_files(folder));
        }
    }
    let listener = context::listen(PORT).await?;
    tokio::select! {
        () = served.is_there() => {}
        () = context.shutdown.cancelled() => return Ok(()),
    }
    let end = CancellationToken::new();
    let serving = listener::serve(listener, served, review::http(), end.clone());
    context.health.ready();
    let ending = async {
        context.left(LINGER).await;
        end.cancel();
    };
    tokio::join!(serving, ending);
    Ok(())
}
