//go:build race

package server_test

// matrixSample: the race detector makes everything ten times as slow; a part of
// the cells shows it all the code.
const matrixSample = 8
