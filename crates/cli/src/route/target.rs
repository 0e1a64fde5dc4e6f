//! The function a route calls: one, or two by weight.

use fission_api::{Function, FunctionReference, FunctionReferenceType};

use crate::failure::{Failure, Outcome};
use crate::noun;
use crate::output::Format;
use crate::session::Session;

/// The reference the flags describe.
pub(super) fn reference(
    functions: &[String],
    weights: &[i64],
    alias: Option<&String>,
    version: Option<&String>,
) -> Outcome<FunctionReference> {
    let pinned = alias.is_some() || version.is_some();
    match (functions, weights) {
        ([function], []) => Ok(FunctionReference {
            alias: alias.cloned().unwrap_or_default(),
            version: version.cloned().unwrap_or_default(),
            ..FunctionReference::named(function)
        }),
        ([one, other], [first, second]) if !pinned => {
            if one == other {
                return Err(Failure::new(format_args!("--function {one} is given twice")));
            }
            if *first < 0 || *second < 0 || first.saturating_add(*second) != 100 {
                return Err(Failure::new(format_args!("--weight {first} and {second} must add up to 100")));
            }
            let weights = [(one.clone(), *first), (other.clone(), *second)].into_iter().collect();
            Ok(FunctionReference {
                kind: FunctionReferenceType::Weights,
                functionweights: Some(weights),
                ..FunctionReference::default()
            })
        }
        ([_, _], _) if pinned => {
            Err(Failure::new("--function-alias and --function-version need exactly one --function"))
        }
        ([], _) => Err(Failure::new("need --function").hint("see the functions with: fission function list")),
        _ => Err(Failure::new("give one --function, or two with two --weight that add up to 100")),
    }
}

/// Functions may come later; requests until then are refused, so a warning is enough.
pub(super) async fn warn_missing(s: &mut Session, reference: &FunctionReference, format: Format) -> Outcome {
    let weighted = reference.functionweights.iter().flatten().map(|(name, _)| name.clone());
    let names: Vec<String> =
        std::iter::once(reference.name.clone()).chain(weighted).filter(|name| !name.is_empty()).collect();
    for name in names {
        if noun::find::<Function>(s, &name).await?.is_none() {
            let namespace = s.namespace.clone();
            s.warn(format, format_args!("function '{name}' does not exist in namespace '{namespace}' yet"))?;
        }
    }
    Ok(())
}
