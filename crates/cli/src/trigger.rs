//! What `create` and `delete` of timers, watches and message queue triggers have in common.

use fission_api::Function;

use crate::failure::Outcome;
use crate::flags::{DeleteFlags, LabelFlags, SpecFlags, metadata};
use crate::noun::{self, Noun};
use crate::output::{self, Format};
use crate::session::Session;
use crate::spec::save;

/// The flags every `create` has.
pub(crate) struct New {
    pub(crate) name: Option<String>,
    pub(crate) labels: LabelFlags,
    pub(crate) to: SpecFlags,
    pub(crate) format: Format,
}

/// Creates a trigger, or writes it to `<file>-<name>.yaml`. A missing function is a warning: it may come later.
pub(crate) async fn create<K: Noun>(
    new: New,
    file: &str,
    function: &str,
    make: impl FnOnce(&str) -> K,
    s: &mut Session,
) -> Outcome {
    let name = match new.name {
        Some(name) => name,
        None => {
            let name = uuid::Uuid::new_v4().to_string();
            if !new.to.dry {
                s.warn(new.format, format_args!("--name is not given; the trigger is called '{name}'"))?;
            }
            name
        }
    };
    let mut trigger = make(&name);
    if !new.to.is_local() {
        s.client().await?;
    }
    let namespace = if new.to.is_local() { s.namespace_in_files() } else { Some(s.namespace.clone()) };
    *trigger.meta_mut() = metadata(&name, namespace);
    new.labels.apply(trigger.meta_mut())?;
    noun::check(&trigger)?;
    if new.to.is_local() {
        let documents = [save::document(&trigger)?];
        return save::documents(s, new.to, &format!("{file}-{name}.yaml"), &documents).await;
    }
    if noun::find::<Function>(s, function).await?.is_none() {
        let namespace = s.namespace.clone();
        s.warn(new.format, format_args!("function '{function}' does not exist in namespace '{namespace}' yet"))?;
    }
    let created = noun::create(s, &trigger).await?;
    output::done(s, new.format, &created, format_args!("trigger '{name}' created"))
}

/// Deletes a trigger.
pub(crate) async fn delete<K: Noun>(what: DeleteFlags, s: &mut Session) -> Outcome {
    if noun::delete::<K>(s, &what.name, what.ignorenotfound).await? {
        s.io.say(format_args!("trigger '{}' deleted", what.name))?;
    }
    Ok(())
}
