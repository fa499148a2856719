// Package fault is how Waypost fails: every error that may reach a person has a
// class the program can branch on, a message key that ui/locale turns into a
// translated sentence with the next step, and a cause for the log.
//
// A fault never carries the sentence itself. So the same failure reads right on
// a page in Arabic, in a problem+json answer and on the command line, and no
// error text can leak a name by accident.
package fault
