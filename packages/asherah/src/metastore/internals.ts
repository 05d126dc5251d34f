/** Names what a metastore of this library offers the admin interface beside its three methods: what it works with itself. */
export const internals: unique symbol = Symbol('asherah.internals')
