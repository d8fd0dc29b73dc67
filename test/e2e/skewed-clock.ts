/** Preloaded (`node --import`): the process has a clock that is `CAISSON_TEST_CLOCK_AHEAD_MS` ahead. Timers and TLS go on as they are. */
const ahead = Number(process.env['CAISSON_TEST_CLOCK_AHEAD_MS'])
const OwnDate = Date

globalThis.Date = new Proxy(OwnDate, {
  construct: (target, args: unknown[], made) =>
    Reflect.construct(target, args.length > 0 ? args : [OwnDate.now() + ahead], made) as object,
  apply: () => new OwnDate(OwnDate.now() + ahead).toString(),
  get: (target, name) => (name === 'now' ? () => OwnDate.now() + ahead : Reflect.get(target, name)),
})
