// Package ui is what people's browsers and other programs see of a box: pages
// that work without JavaScript, the API under /api/v1, and the operator's calls
// on the control socket. It is the only place that knows Fiber.
//
// # One table
//
// Everything that can be asked stands in a table of routes (routes.go): method,
// path, policy, surfaces, handler. There is no other way to add something, and New
// fails on a route without a policy. A test walks every route as nobody, in every
// role, in every state of the box and on every surface (testdata/matrix.golden).
//
// # The way of a request
//
//	guard      security headers on every answer; methods HTTP does not have (middleware.go)
//	watched    request number, access log, what is left of a body is read away
//	recovered  a panic becomes "something went wrong"; only its type and place are logged
//	checked    compressed bodies and foreign host names are refused
//	serve      surface, state, who asks, where from, then the body, then the token of the form (middleware_access.go);
//	           whoever guesses at a secret then pays for it and stands in line (limits.go)
//	handler    turns the request into one command or question of a desk, and its answer into a page or JSON
//
// What is scarce is shared out by client (limits.go, listener.go): an address of the
// network, or this machine, which nobody out there can keep waiting. A limit that
// refuses answers 429 with Retry-After and says how long to wait.
//
// Nothing is read of a body before it is known who sends it, and a body is never
// inflated. A refused body is read to its end, so that whoever sent a form of
// 10 MB reads a sentence and not "connection reset".
//
// # A locked box
//
// Nobody can sign in to it. Besides the page that opens it, it serves those under /gate, to
// whoever comes over HTTPS or stands at it: count, take a family in, check a card's
// signature, ask another box. They take in and show nothing that was taken in. A phone
// leaves 60 entries at once and one every 8 seconds, all of the network 300 and one every 2
// seconds; the letterbox has bounds of its own. Nothing of it is a command with an actor:
// when the box is open, it becomes facts by staff.Letterbox, for staff to look through.
//
// # The picture of the mesh
//
// mesh_picture.go draws who is linked with whom as SVG, without a script: state is told by
// outline first and by colour besides, and all of it in words in its description
// (TestThePictureSaysTheSameInWords). Names of sites come from other boxes and are only
// text in it (TestTheNameOfASiteIsOnlyTextInThePicture); from none to sixty others each box
// is in it once, inside its frame (TestThePictureHoldsEveryBox).
//
// # Where records are kept
//
// The page of a person is red while some of what is written about them, or about their
// household, is at no other post (copies.go). That costs a look at these two subjects and
// no walk through the journal. The page behind it tells who holds what since when, and who
// could read it: roles with how many accounts, names only for those who may list staff.
// It is the same, to the byte, whether there is a sealed file about somebody or not
// (TestASealedFileDoesNotShowInCopies, TestWhoSeesWhereRecordsAre).
//
// # Boundaries
//
// A visit copies what it takes from Fiber, whose strings are overwritten by the
// next request (Immutable is set as well). No handler starts a goroutine; the one
// thing that outlives its request, an event stream, holds copies only.
//
// Handlers decide nothing: commands take the staff.Actor and refuse by
// themselves. The policy of a route is there so that a page which could not be
// used is not shown.
//
// # Surfaces
//
// Loopback and Network serve everything, over plain HTTP to this machine and over
// HTTPS to all. Public is plain HTTP from elsewhere, or through a proxy: the welcome
// page, the certificate and how phones install it, help, static files and the state. Control is the socket in the data
// folder: whoever can open it is the operator.
//
// On Network, words that open the box and the narrow desks are only for browsers that trust
// its certificate. The proof is a service worker (rung.go): browsers run none behind a warning
// that was clicked away (TestBrowserBehindAWarningOpensNothing in ui/browser). The worker
// keeps the static files and one page for strangers, never anything of people
// (TestTheWorkerKeepsTheShellAlone).
package ui
