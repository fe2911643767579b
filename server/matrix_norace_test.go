//go:build !race

package server_test

const matrixSample = 1
