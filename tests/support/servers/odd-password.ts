/**
 * A password with every character that a URL, a Go DSN, a libpq string or SQL gives a meaning to: for tests only, and
 * the same for every server.
 */
export const oddPassword = 'p@s:s/w?o%r#d&=+ \'"\\;(x)%40'
