//! Connections that switch protocols, such as WebSockets: after the switch the router only carries bytes.
//!
//! A tunnel lives until one side closes it, the function's maximum duration is over, or the router has served every
//! other request while it stops. Its slot is held all the time.

use std::time::Instant;

use fission_rpc::endpoint::Lease;
use http::{Request, Response, StatusCode};
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::body::{Held, RequestBody, ResponseBody, Source, Watchdog};
use crate::forward::{Call, Failed};
use crate::functions::TimeLimit;
use crate::{errors, headers, transport};

/// Whether a request asks to switch protocols.
pub(crate) fn is_upgrade<B>(request: &Request<B>) -> bool {
    let named = |value: &http::HeaderValue| {
        value.to_str().is_ok_and(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade")))
    };
    request.version() == http::Version::HTTP_11
        && request.headers().contains_key(http::header::UPGRADE)
        && request.headers().get_all(http::header::CONNECTION).iter().any(named)
}

/// Sends a request that asks to switch, on a connection of its own.
pub(crate) async fn send(
    call: &mut Call<'_>,
    client: OnUpgrade,
    lease: Lease,
    request: Request<RequestBody>,
    watchdog: Watchdog,
) -> Result<Response<ResponseBody>, Failed> {
    let connected = async {
        let stream = transport::dial(&lease.endpoint().address, call.connect_timeout(&watchdog)).await?;
        http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)
    };
    let (mut sender, connection) = match connected.await {
        Ok(connected) => connected,
        Err(error) => {
            // The request goes on to another instance and may still switch there.
            call.upgrade = Some(client);
            return Err(call.elsewhere(&lease, request, error));
        }
    };
    call.tunnels.spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection of a tunnel ended");
        }
    });
    let answer = tokio::time::timeout_at(watchdog.next().into(), sender.send_request(request)).await;
    let mut response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(Failed::Final(call.broken(&lease, Some(&error)).await)),
        Err(_) => return Err(Failed::Final(errors::out_of_time(call.backend, watchdog.reason()))),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(call.response(response.map(Source::Remote), Held { lease, link: None }, watchdog));
    }
    let function = hyper::upgrade::on(&mut response);
    let ends = match call.backend.time_limit {
        TimeLimit::Stream { whole: Some(whole), .. } => Some(Instant::now() + whole),
        _ => None,
    };
    let stop = call.tunnels.stop();
    call.tunnels.spawn(async move {
        let _lease = lease;
        tokio::select! {
            carried = carry(client, function) => {
                if let Err(error) = carried {
                    tracing::debug!(%error, "tunnel ended");
                }
            }
            () = until(ends) => {}
            () = stop.cancelled() => {}
        }
    });
    let (mut parts, _) = response.into_parts();
    headers::strip_hop_by_hop(&mut parts.headers, true);
    Ok(Response::from_parts(parts, ResponseBody::own("")))
}

async fn carry(client: OnUpgrade, function: OnUpgrade) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (client, function) = tokio::try_join!(client, function)?;
    tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(function)).await?;
    Ok(())
}

async fn until(ends: Option<Instant>) {
    match ends {
        Some(ends) => tokio::time::sleep_until(ends.into()).await,
        None => std::future::pending().await,
    }
}
