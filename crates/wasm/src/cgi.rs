//! How a command, which knows no HTTP, gets a request and gives a response: variables and standard input, and standard
//! output that may begin with a head, as in CGI (RFC 3875).

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// Longest head of a response, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The fields one of which a head begins with. Any other first line is the body's.
const FIRST: [&str; 3] = ["content-type:", "status:", "location:"];

/// The variables that tell of a request.
pub(crate) fn variables(request: &Parts) -> Vec<(String, String)> {
    let (path, query) = (request.uri.path(), request.uri.query().unwrap_or_default());
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut all: Vec<(String, String)> = [
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_METHOD", request.method.as_str()),
        ("REQUEST_URI", target),
        ("PATH_INFO", path),
        ("QUERY_STRING", query),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in &request.headers {
        let Ok(value) = value.to_str() else { continue };
        let name = match name.as_str() {
            "content-length" => "CONTENT_LENGTH".to_owned(),
            "content-type" => "CONTENT_TYPE".to_owned(),
            // Programs take HTTP_PROXY for the proxy to use.
            "proxy" => continue,
            other => format!("HTTP_{}", other.to_ascii_uppercase().replace('-', "_")),
        };
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = format!("{known}, {value}"),
            None => all.push((name, value.to_owned())),
        }
    }
    all
}

/// Reads the head of what a command prints, piece by piece.
#[derive(Default)]
pub(crate) struct HeadReader {
    read: BytesMut,
}

/// What the pieces so far are.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It may still be a head.
    More,
    /// The head, and the beginning of the body.
    Done(Response<Bytes>),
    /// A head that is none. The words follow the function's name.
    Wrong(String),
}

impl HeadReader {
    /// Takes a piece; `None` at the end of the output.
    pub(crate) fn take(&mut self, piece: Option<&Bytes>) -> Progress {
        let ended = piece.is_none();
        self.read.extend_from_slice(piece.map_or(&[], |piece| piece));
        if !self.may_be_head() {
            return Progress::Done(Response::new(self.read.split().freeze()));
        }
        let Some((head, body)) = self.split() else {
            return match (ended, self.read.len() > MAX_HEAD) {
                (true, _) if self.read.is_empty() => Progress::Done(Response::new(Bytes::new())),
                (true, _) => Progress::Wrong("printed a head that has no end: an empty line ends it".to_owned()),
                (false, true) => Progress::Wrong(format!("printed a head of more than {MAX_HEAD} bytes")),
                (false, false) => Progress::More,
            };
        };
        let head = String::from_utf8_lossy(&self.read[..head]).into_owned();
        let mut response = Response::new(self.read.split_off(body).freeze());
        for line in head.lines() {
            if let Err(why) = field(&mut response, line.trim_end_matches('\r')) {
                return Progress::Wrong(format!("printed a head with the line {line:?}, {why}"));
            }
        }
        Progress::Done(response)
    }

    fn may_be_head(&self) -> bool {
        FIRST.iter().any(|first| {
            let length = first.len().min(self.read.len());
            self.read[..length].eq_ignore_ascii_case(&first.as_bytes()[..length])
        })
    }

    /// Where the head ends and the body begins.
    fn split(&self) -> Option<(usize, usize)> {
        let ends = [&b"\r\n\r\n"[..], b"\n\n"];
        let find = |end: &&[u8]| self.read.windows(end.len()).position(|window| window == *end);
        ends.iter().filter_map(|end| find(end).map(|at| (at, at + end.len()))).min()
    }
}

fn field(response: &mut Response<Bytes>, line: &str) -> Result<(), &'static str> {
    let (name, value) = line.split_once(':').ok_or("which has no colon")?;
    let value = value.trim();
    if name.eq_ignore_ascii_case("status") {
        let code = value.split(' ').next().unwrap_or_default().parse::<u16>().ok();
        let status = code.and_then(|code| StatusCode::from_u16(code).ok()).filter(|status| status.as_u16() >= 200);
        *response.status_mut() = status.ok_or("which is no status")?;
        return Ok(());
    }
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "whose name is no name of a header")?;
    let value = HeaderValue::from_str(value).map_err(|_| "whose value is no value of a header")?;
    if name == header::LOCATION && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::FOUND;
    }
    response.headers_mut().append(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&str]) -> Progress {
        let mut reader = HeadReader::default();
        for piece in pieces {
            match reader.take(Some(&Bytes::copy_from_slice(piece.as_bytes()))) {
                Progress::More => {}
                other => return other,
            }
        }
        reader.take(None)
    }

    fn done(pieces: &[&str]) -> Response<Bytes> {
        match read(pieces) {
            Progress::Done(response) => response,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn output_is_the_body_unless_it_begins_with_a_field_of_a_head() {
        for body in ["hello", "Dear: reader\n\nhi", "", "{\"status\": 1}", "stat"] {
            // The last one could still become a head, and did not.
            match read(&[body]) {
                Progress::Done(response) => {
                    assert_eq!((response.status(), response.body().as_ref()), (StatusCode::OK, body.as_bytes()))
                }
                other => assert!(body == "stat" && matches!(other, Progress::Wrong(_)), "{other:?}"),
            }
        }
    }

    #[test]
    fn a_head_sets_status_and_headers_however_it_is_cut() {
        let whole = "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nnothing";
        for cut in 0..whole.len() {
            let response = done(&[&whole[..cut], &whole[cut..]]);
            assert_eq!(response.status(), 404);
            assert_eq!(response.headers()["content-type"], "text/plain");
            assert!(b"nothing".starts_with(response.body()) || response.body() == "nothing");
        }
        let unix = done(&["content-type: a/b\n\nx\n\ny"]);
        assert_eq!(unix.body(), "x\n\ny");
        assert_eq!(done(&["Location: /there\n\n"]).status(), 302);
    }

    #[test]
    fn a_head_that_is_none_is_told_with_its_line() {
        for (output, why) in [
            ("Status: fine\n\n", "no status"),
            ("Status: 100\n\n", "no status"),
            ("Content-Type: a\nno colon here\n\n", "no colon"),
            ("Content-Type: a\n", "no end"),
        ] {
            match read(&[output]) {
                Progress::Wrong(said) => assert!(said.contains(why), "{said}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_request_is_told_by_variables() {
        let request = http::Request::post("/a/b?c=d").header("x-y", "1").header("x-y", "2").header("proxy", "evil");
        let (parts, ()) = request.header("content-type", "text/plain").body(()).unwrap().into_parts();
        let all = variables(&parts);
        let find = |name: &str| all.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(
            (find("REQUEST_METHOD"), find("PATH_INFO"), find("QUERY_STRING")),
            (Some("POST"), Some("/a/b"), Some("c=d"))
        );
        assert_eq!(
            (find("HTTP_X_Y"), find("CONTENT_TYPE"), find("HTTP_PROXY")),
            (Some("1, 2"), Some("text/plain"), None)
        );
    }
}
