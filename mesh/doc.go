// Package mesh lets nodes find each other and exchange records.
package mesh
