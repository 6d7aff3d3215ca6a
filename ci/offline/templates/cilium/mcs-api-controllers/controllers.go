// Package controllers holds the one constant of the module of this name that Cilium's operator uses.
package controllers

// DerivedServiceAnnotation names the service derived from a ServiceImport.
const DerivedServiceAnnotation = "multicluster.kubernetes.io/derived-service"
