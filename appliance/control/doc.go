// Package control is how another process on the same machine speaks with a
// running node: the wire types of its answers and an HTTP client over its control
// socket. The command line and the dashboard are built on it and on nothing else
// of the node, so they can do only what the node lets them.
//
// The socket belongs to the user who runs the node (mode 0600), and whoever can
// open it acts as the node's operator. It lies in the data folder as
// control.sock; where that path would be too long for a Unix socket, in a private
// runtime folder (SocketPath).
//
// Errors a node answers as problem+json come back as *fault.Error with the
// node's message key and class; the cause in them is the *Problem, which holds
// the sentence in the language the client asked for.
package control
