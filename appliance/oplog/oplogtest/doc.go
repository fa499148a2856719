// Package oplogtest is for tests of desks, of the mesh and of stores.
//
// Harness gives a real journal in a temporary folder with a store in memory;
// Node gives several of one deployment, Exchange brings them together.
// CheckOrder proves that a desk's views do not depend on the order of arrival.
// StoreSuite is what every view store has to pass.
package oplogtest
