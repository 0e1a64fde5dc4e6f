//! `fission token`: a login at a router that asks for one.

use clap::{Args, Subcommand};
use http::{Request, header};
use kube::client::Body;
use serde_json::{Value, json};

use crate::doors;
use crate::failure::{Doing, Failure, Outcome};
use crate::noun::root_of;
use crate::session::Session;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    Create(CreateArgs),
}

/// Log in at the router and print the access token
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES:
  export FISSION_AUTH_TOKEN=$(fission token create --username admin --password SECRET)")]
pub(crate) struct CreateArgs {
    /// User
    #[arg(long)]
    pub(crate) username: String,
    /// Password
    #[arg(long)]
    pub(crate) password: String,
    /// Login path; $FISSION_AUTH_URI, else /auth/login
    #[arg(long, value_name = "PATH")]
    pub(crate) authuri: Option<String>,
}

impl TokenVerb {
    pub(crate) async fn run(self, s: &mut Session) -> Outcome {
        let Self::Create(args) = self;
        let door = doors::router(s).await?;
        let router = &door.shown;
        let path = args.authuri.or(s.io.vars.get("FISSION_AUTH_URI").map(str::to_owned));
        let path = path.unwrap_or_else(|| "/auth/login".to_owned());
        let doing = format!("cannot log in at {router}, {path}");
        let body = json!({ "username": args.username, "password": args.password }).to_string();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(body.into_bytes())).doing(&doing)?;
        let failed = |error: &kube::Error| door.unreached(Failure::new(format_args!("{doing}: {}", root_of(error))));
        let answer = door.client.send(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        let body = answer.into_body().collect_bytes().await.map_err(|error| failed(&error))?;
        match status.as_u16() {
            200 | 201 => {
                let answer: Value = serde_json::from_slice(&body).doing(&doing)?;
                s.io.say(answer["accesstoken"].as_str().unwrap_or_default())
            }
            404 => Err(Failure::new(format_args!("{doing}: {status}")).hint("this router asks for no login")),
            _ => Err(Failure::new(format_args!("{doing}: {} ({status})", String::from_utf8_lossy(&body).trim()))),
        }
    }
}
