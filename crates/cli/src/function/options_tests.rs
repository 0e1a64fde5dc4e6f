//! What the option flags write into a function, and what they leave alone.

use super::*;

fn applied(spec: &mut FunctionSpec, change: impl FnOnce(&mut OptionFlags)) -> Result<(), String> {
    let mut flags = OptionFlags::default();
    change(&mut flags);
    flags.apply(spec, "default").map_err(|failure| failure.to_string())
}

#[test]
fn what_is_not_given_stays() {
    let mut spec = FunctionSpec { concurrency: 7, idle_timeout: Some(0), ..FunctionSpec::default() };
    applied(&mut spec, |flags| flags.requestsperpod = Some(4)).unwrap();
    assert_eq!((spec.concurrency, spec.requests_per_pod, spec.idle_timeout), (7, 4, Some(0)));
}

#[test]
fn scale_belongs_to_newdeploy() {
    let mut spec = FunctionSpec::default();
    let refused = applied(&mut spec, |flags| flags.instances.minscale = Some(1)).unwrap_err();
    assert!(refused.contains("--executortype newdeploy"), "{refused}");
    applied(&mut spec, |flags| flags.executortype = Some("newdeploy".to_owned())).unwrap();
    let strategy = &spec.invoke_strategy.execution_strategy;
    assert_eq!((strategy.min_scale, strategy.max_scale), (1, 1));
    applied(&mut spec, |flags| flags.instances.minscale = Some(3)).unwrap();
    let strategy = &spec.invoke_strategy.execution_strategy;
    assert_eq!((strategy.min_scale, strategy.max_scale), (3, 3), "the maximum follows a larger minimum");
    let refused = applied(&mut spec, |flags| flags.instances.maxscale = Some(2)).unwrap_err();
    assert!(refused.contains("--minscale 3 is larger than --maxscale 2"), "{refused}");
    applied(&mut spec, |flags| flags.executortype = Some("poolmgr".to_owned())).unwrap();
    assert_eq!(spec.invoke_strategy.execution_strategy.max_scale, 0);
}

#[test]
fn limits_are_refused_with_their_numbers() {
    let mut spec = FunctionSpec::default();
    let refused = applied(&mut spec, |flags| flags.specializationtimeout = Some(60)).unwrap_err();
    assert_eq!(refused, "--specializationtimeout 60 must be at least 120");
    assert!(applied(&mut spec, |flags| flags.instances.fntimeout = Some(0)).is_err());
    assert!(applied(&mut spec, |flags| flags.executortype = Some("lambda".to_owned())).is_err());
}

#[test]
fn references_name_an_object_a_key_or_a_key_and_its_variable() {
    let mut spec = FunctionSpec::default();
    applied(&mut spec, |flags| {
        flags.instances.env_from_secret =
            vec!["all".to_owned(), "db/password:PASSWORD".to_owned(), "db/user".to_owned()];
    })
    .unwrap();
    let names: Vec<String> = spec.env.unwrap().into_iter().map(|variable| variable.name).collect();
    assert_eq!(names, ["PASSWORD", "user"]);
    assert_eq!(spec.env_from.unwrap()[0].secret_ref.as_ref().unwrap().name, "all");
}
