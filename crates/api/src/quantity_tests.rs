//! What amounts are read as.

use super::*;

#[test]
fn quantities_are_read_as_kubernetes_writes_them() {
    for (text, value) in
        [("128Mi", 134_217_728.0), ("1.5Gi", 1_610_612_736.0), ("500m", 0.5), ("2", 2.0), ("1e3", 1000.0), ("1M", 1e6)]
    {
        assert_eq!(parse(text), Some(value), "{text}");
    }
    for text in ["", "x", "12Q", "Mi", "-1", "nan", "inf", "1 Gi"] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn bytes_are_told_in_the_largest_whole_unit() {
    assert_eq!(display_bytes(256 << 20), "256 MiB");
    assert_eq!(display_bytes(2 << 30), "2 GiB");
    assert_eq!(display_bytes(1000), "1000 bytes");
}
