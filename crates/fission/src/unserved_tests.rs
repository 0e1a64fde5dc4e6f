//! Against the API server of one machine, which is the same to a client.

use std::collections::BTreeSet;
use std::time::Duration;

use fission_apiserver::{ApiServer, Options, Storage};
use kube::api::PostParams;

use super::*;

async fn stored(client: &Client, namespace: &str, name: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(fission_api::GROUP, fission_api::VERSION, "TimeTrigger");
    let resource = ApiResource::from_gvk_with_plural(&kind, "timetriggers");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let spec = json!({ "spec": { "cron": "@daily", "functionref": { "type": "name", "name": "hello" } } });
    api.create(&PostParams::default(), &DynamicObject::new(name, &resource).data(spec)).await.unwrap();
    api
}

async fn said(api: &Api<DynamicObject>, name: &str) -> String {
    for _ in 0..400 {
        let object = api.get(name).await.unwrap();
        if let Some(message) = object.data["status"]["conditions"][0]["message"].as_str() {
            return message.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{name} was never told");
}

#[tokio::test]
async fn users_are_told_what_to_do_instead_in_namespaces_that_come_later_too() {
    let server = ApiServer::open(Options::new(Storage::Memory, "test")).unwrap();
    let client = server.client("default");
    let namespaces = watch::Sender::new(Namespaces::these(["default"]));
    let reporting = tokio::spawn(report(client.clone(), Home::Cluster, namespaces.subscribe()));
    let api = stored(&client, "default", "nightly").await;
    assert!(said(&api, "nightly").await.contains("CronJob"));
    let namespace = json!({ "metadata": { "name": "team" } });
    let core = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
    let team: DynamicObject = DynamicObject::new("team", &core).data(namespace);
    let _ = Api::<DynamicObject>::all_with(client.clone(), &core).create(&PostParams::default(), &team).await;
    let api = stored(&client, "team", "weekly").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(api.get("weekly").await.unwrap().data.get("status").is_none(), "nobody looks at that namespace yet");
    namespaces.send_replace(Namespaces::These(BTreeSet::from(["default".to_owned(), "team".to_owned()])));
    assert!(said(&api, "weekly").await.contains("CronJob"));
    reporting.abort();
}
