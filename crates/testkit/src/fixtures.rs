//! Declarations as a user would make them, small and valid: `default/hello` in environment `default/nodejs`.

use std::sync::atomic::{AtomicI64, Ordering};

use fission_api::{
    Environment, EnvironmentReference, EnvironmentSpec, ExecutionStrategy, ExecutorType, Function, FunctionPackageRef,
    FunctionSpec, InvokeStrategy, Package, PackageRef, PackageSpec, Runtime,
};
use k8s_openapi::ByteString;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Namespace of every fixture.
pub const NAMESPACE: &str = "default";
/// Environment of every function and package.
pub const ENVIRONMENT: &str = "nodejs";

fn metadata(kind: &str, name: &str) -> ObjectMeta {
    static UIDS: AtomicI64 = AtomicI64::new(1);
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        uid: Some(format!("{kind}-{name}-{}", UIDS.fetch_add(1, Ordering::Relaxed))),
        generation: Some(1),
        resource_version: Some("1".to_owned()),
        ..ObjectMeta::default()
    }
}

/// A `poolmgr` function whose package has its name.
pub fn function(name: &str) -> Function {
    Function {
        metadata: metadata("function", name),
        spec: FunctionSpec {
            environment: EnvironmentReference { namespace: NAMESPACE.to_owned(), name: ENVIRONMENT.to_owned() },
            package: FunctionPackageRef {
                package_ref: PackageRef {
                    namespace: NAMESPACE.to_owned(),
                    name: name.to_owned(),
                    resourceversion: "1".to_owned(),
                },
                function_name: String::new(),
            },
            ..FunctionSpec::default()
        },
        status: None,
    }
}

/// A `newdeploy` function with a scale.
pub fn newdeploy(name: &str, min_scale: i64, max_scale: i64) -> Function {
    let mut function = function(name);
    function.spec.invoke_strategy = InvokeStrategy {
        execution_strategy: ExecutionStrategy {
            executor_type: ExecutorType::Newdeploy,
            min_scale,
            max_scale,
            ..ExecutionStrategy::default()
        },
        strategy_type: "execution".to_owned(),
    };
    function
}

/// A version 3 environment with a pool.
pub fn environment(name: &str, poolsize: i64) -> Environment {
    Environment {
        metadata: metadata("environment", name),
        spec: EnvironmentSpec {
            version: 3,
            runtime: Runtime { image: format!("fission/{name}-env"), ..Runtime::default() },
            poolsize,
            termination_grace_period: Some(1),
            ..EnvironmentSpec::default()
        },
        status: None,
    }
}

/// A package with a few bytes of inline code.
pub fn package(name: &str) -> Package {
    let mut spec = PackageSpec {
        environment: EnvironmentReference { namespace: NAMESPACE.to_owned(), name: ENVIRONMENT.to_owned() },
        ..PackageSpec::default()
    };
    spec.deployment.literal = Some(ByteString(b"module.exports = async () => ({ body: 'hello' })".to_vec()));
    Package { metadata: metadata("package", name), spec, status: None }
}

/// The same object as it is after its spec was changed: the generation is one higher.
#[must_use]
pub fn next_generation<K: HasMetadata>(mut object: K) -> K {
    let meta = object.metadata_mut();
    meta.generation = Some(meta.generation.unwrap_or_default() + 1);
    object
}

/// Kinds that [`next_generation`] works on.
pub trait HasMetadata {
    /// Its metadata.
    fn metadata_mut(&mut self) -> &mut ObjectMeta;
}

impl HasMetadata for Function {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl HasMetadata for Environment {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl HasMetadata for Package {
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
