// Package vendored is a dependency that lies beside the code.
package vendored

// Word is what it is for.
const Word = "vendored"
