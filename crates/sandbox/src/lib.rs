//! Backend: processes in Linux sandboxes.
