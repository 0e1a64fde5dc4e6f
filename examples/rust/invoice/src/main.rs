//! An amount in cents as an invoice has it, with two crates that the build downloads.

use fission_function::http::StatusCode;
use fission_function::{IntoResponse, Request, Response};
use num_format::{Locale, ToFormattedString};

fn main() {
    fission_function::serve(total)
}

async fn total(request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let cents = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "cents");
    match cents.and_then(|(_, cents)| cents.parse::<u64>().ok()) {
        Some(cents) => format!("{}.{:02} EUR\n", (cents / 100).to_formatted_string(&Locale::en), cents % 100).into_response(),
        None => (StatusCode::UNPROCESSABLE_ENTITY, "cents=NUMBER, please\n").into_response(),
    }
}
