//! What was acknowledged is there after any death.

use crate::world::{Platform, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_by_kill_9_at_random_moments() {
    const ROUNDS: u64 = 12;
    let mut platform = Platform::start();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let (client, token, api) = (platform.http().clone(), platform.token(), platform.api.clone());
        let writer = tokio::spawn(async move {
            let mut names = Vec::new();
            for n in 0.. {
                let name = format!("kept-{round}-{n}");
                let object = serde_json::json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name }, "data": { "n": n.to_string() } });
                let url = format!("{api}/api/v1/namespaces/default/configmaps");
                match client.post(url).bearer_auth(&token).json(&object).send().await {
                    Ok(response) if response.status() == 201 => names.push(name),
                    Ok(response) => panic!("{}", response.status()),
                    Err(_) => break, // the platform was killed
                }
            }
            names
        });
        // Another moment each round, spread over the first writes and the middle of many.
        tokio::time::sleep(std::time::Duration::from_millis(3 + round * 17)).await;
        platform.kill();
        acknowledged.extend(writer.await.unwrap());
        platform.restart();
    }
    let list = platform.object("/api/v1/namespaces/default/configmaps").await;
    let names: std::collections::HashSet<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|name| !names.contains(name.as_str())).collect();
    assert!(!acknowledged.is_empty());
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), acknowledged.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_kinds_nobody_serves_say_so() {
    let platform = Platform::start();
    let path = platform.source(
        "timer.yaml",
        "apiVersion: fission.io/v1\nkind: TimeTrigger\nmetadata: { name: tick, namespace: default }\n\
         spec: { cron: '@hourly', functionref: { type: name, name: hello, functionweights: null } }\n",
    );
    platform.kubectl(&["apply", "-f", &path]);
    eventually("its status speaks", || async {
        let trigger = platform.object("/apis/fission.io/v1/namespaces/default/timetriggers/tick").await;
        trigger["status"]["conditions"][0]["reason"] == "NotServed"
    })
    .await;
}
