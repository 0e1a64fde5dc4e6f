//! The data plane: routes, admission, forwarding, errors that explain.
