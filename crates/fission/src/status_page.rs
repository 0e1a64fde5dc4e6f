//! `GET /fission/v1/status`: what runs here, for `fission check`, `fission status` and support bundles.

use std::sync::Arc;

use axum::routing::get;
use axum::{Json, Router};
use fission_apiserver::DamagedObject;
use fission_cli::running::Running;
use fission_environments::Environments;
use fission_package::storage::Storage;
use fission_rpc::instances::Instances;
use fission_sandbox::IsolationReport;
use serde_json::{Value, json};

/// What the status page speaks of.
pub(crate) struct StatusPage {
    pub(crate) running: Running,
    pub(crate) isolation: IsolationReport,
    pub(crate) environments: Arc<Environments>,
    pub(crate) instances: Arc<dyn Instances>,
    pub(crate) storage: Storage,
    pub(crate) damaged: Vec<DamagedObject>,
}

impl StatusPage {
    /// The page as a route.
    pub(crate) fn http(self) -> Router {
        let page = Arc::new(self);
        let answer = move || {
            let page = page.clone();
            async move { Json(page.report().await) }
        };
        Router::new().route("/fission/v1/status", get(answer))
    }

    async fn report(&self) -> Value {
        let features: Vec<Value> = self
            .isolation
            .features
            .iter()
            .map(|report| json!({ "feature": report.feature.word(), "applied": report.missing.is_none(), "why": report.missing }))
            .collect();
        let mut environments = Vec::new();
        for definition in self.environments.list() {
            let why = self.environments.check_host(definition).await.err().map(|error| error.to_string());
            let (name, images) = (&definition.name, &definition.images);
            environments.push(json!({ "name": name, "images": images, "ready": why.is_none(), "why": why }));
        }
        let damaged: Vec<Value> = self
            .damaged
            .iter()
            .map(|d| json!({ "resource": d.resource, "namespace": d.namespace, "name": d.name, "why": d.why }))
            .collect();
        let usage = self.storage.usage();
        json!({
            "version": version(),
            "api": self.running.api, "router": self.running.router, "internal": self.running.internal,
            "data": { "path": self.running.data_dir, "archives": usage.archives, "archiveBytes": usage.bytes },
            "instances": self.instances.list().len(),
            "isolation": features,
            "environments": environments,
            "damagedObjects": damaged,
        })
    }
}

/// The version of this binary.
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
