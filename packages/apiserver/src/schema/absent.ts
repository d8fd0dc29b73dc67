/** As the current state of a value that is being created. */
export const ABSENT: unique symbol = Symbol('absent')
