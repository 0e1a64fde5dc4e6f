// Package words is a package of the function's own module.
package words

// Main is a text.
const Main = "main file"
