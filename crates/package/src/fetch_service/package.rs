//! Reading a package that may just have been written, from an API server that may be busy.

use std::time::Duration;

use axum::http::StatusCode;
use fission_api::Package;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;

use super::Refused;

/// Waits in milliseconds while the package is not there: the API server asked may be behind.
const MISSING: &[u64] = &[10, 20, 40, 80, 100, 100, 100, 100];
/// The same while the API server cannot be reached.
const UNREACHED: &[u64] = &[500, 1000, 1500, 2000];
/// The same after any other failure.
const FAILED: &[u64] = &[50, 100, 200, 400];

/// Waits that are left, each kind of failure for itself.
struct Waits {
    missing: std::slice::Iter<'static, u64>,
    unreached: std::slice::Iter<'static, u64>,
    failed: std::slice::Iter<'static, u64>,
}

/// Reads the package a request names.
pub(super) async fn read(client: &kube::Client, wanted: &ObjectMeta) -> Result<Package, Refused> {
    let (name, namespace) = (wanted.name.as_deref().unwrap_or_default(), wanted.namespace.as_deref());
    let Some(namespace) = namespace.filter(|namespace| !namespace.is_empty() && !name.is_empty()) else {
        return Err((StatusCode::BAD_REQUEST, "the request names no package and its namespace".to_owned()));
    };
    let api = Api::<Package>::namespaced(client.clone(), namespace);
    let mut waits = Waits { missing: MISSING.iter(), unreached: UNREACHED.iter(), failed: FAILED.iter() };
    loop {
        let error = match api.get(name).await {
            Ok(package) => {
                if wanted.resource_version.is_some() && package.metadata.resource_version != wanted.resource_version {
                    tracing::info!(name, namespace, "the package has changed since it was asked for");
                }
                return Ok(package);
            }
            Err(error) => error,
        };
        let (status, wait) = match &error {
            kube::Error::Api(answer) if answer.code == 404 => (StatusCode::NOT_FOUND, waits.missing.next()),
            // Who may not read it now may not in a second.
            kube::Error::Api(answer) if answer.code == 403 => (StatusCode::INTERNAL_SERVER_ERROR, None),
            kube::Error::Service(_) | kube::Error::HyperError(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, waits.unreached.next())
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, waits.failed.next()),
        };
        let Some(wait) = wait else {
            return Err((status, format!("package {namespace}/{name} could not be read: {error}")));
        };
        tokio::time::sleep(Duration::from_millis(*wait)).await;
    }
}
