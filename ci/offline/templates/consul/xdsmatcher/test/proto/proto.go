// Package proto stands for the one that Consul imports for its side effects only: it registers messages of a test.
package proto
