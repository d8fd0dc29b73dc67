/** What the libraries of kube-apiserver 1.34 say of rules that do not compile, without the lines that show the place. */

export const COMPILE_ERRORS: ReadonlyArray<readonly [rule: string, error: string]> = [
  ['self.s.matches("[a")', 'compilation failed: ERROR: <input>:1:16: invalid matches argument'],
  ['has(self.o.y)', `compilation failed: ERROR: <input>:1:4: undefined field 'y'`],
  ['has(self.zzz)', `compilation failed: ERROR: <input>:1:4: undefined field 'zzz'`],
  ['self.zz == 1', `compilation failed: ERROR: <input>:1:5: undefined field 'zz'`],
  ['self.o.zz == 1', `compilation failed: ERROR: <input>:1:7: undefined field 'zz'`],
  ['duration("abc") == self.d', 'compilation failed: ERROR: <input>:1:10: invalid duration argument'],
  ['timestamp("abc") == self.ts', 'compilation failed: ERROR: <input>:1:11: invalid timestamp argument'],
  ['self.o.?zz.orValue(0) == 7', `compilation failed: ERROR: <input>:1:7: undefined field 'zz'`],
  ['self.emb.spec == 1', `compilation failed: ERROR: <input>:1:9: undefined field 'spec'`],
  ['self.any.foo == 1', `compilation failed: ERROR: <input>:1:9: undefined field 'foo'`],
  [
    'self.i + "a" == "b"',
    `compilation failed: ERROR: <input>:1:8: found no matching overload for '_+_' applied to '(int, string)'`,
  ],
  [
    'self.s + 1',
    `compilation failed: ERROR: <input>:1:8: found no matching overload for '_+_' applied to '(string, int)'`,
  ],
  [
    'undefinedFn(self.i)',
    `compilation failed: ERROR: <input>:1:12: undeclared reference to 'undefinedFn' (in container '')`,
  ],
  ['self.i.foo()', `compilation failed: ERROR: <input>:1:11: undeclared reference to 'foo' (in container '')`],
  ['foo == 1', `compilation failed: ERROR: <input>:1:1: undeclared reference to 'foo' (in container '')`],
  ['1', 'cel expression must evaluate to a bool'],
  ['self.i', 'cel expression must evaluate to a bool'],
  [
    '"a" in self.i',
    `compilation failed: ERROR: <input>:1:5: found no matching overload for '@in' applied to '(string, int)'`,
  ],
  ['[1,"a"] == [1]', `compilation failed: ERROR: <input>:1:4: expected type 'int' but found 'string'`],
  ['{"a":1,"b":"c"}.size() == 2', `compilation failed: ERROR: <input>:1:12: expected type 'int' but found 'string'`],
  ['self.li.all(1, true)', 'compilation failed: ERROR: <input>:1:13: argument must be a simple name'],
  [
    'self.li.map(x)',
    `compilation failed: ERROR: <input>:1:12: undeclared reference to 'map' (in container '')
ERROR: <input>:1:13: undeclared reference to 'x' (in container '')`,
  ],
  ['has(self)', 'compilation failed: ERROR: <input>:1:5: invalid argument to has() macro'],
  ['!self.i', `compilation failed: ERROR: <input>:1:1: found no matching overload for '!_' applied to '(int)'`],
  ['-self.s == 1', `compilation failed: ERROR: <input>:1:1: found no matching overload for '-_' applied to '(string)'`],
  ['self.b && self.i', `compilation failed: ERROR: <input>:1:15: expected type 'bool' but found 'int'`],
  [
    'self.i ? true : false',
    `compilation failed: ERROR: <input>:1:8: found no matching overload for '_?_:_' applied to '(int, bool, bool)'`,
  ],
  [
    'self.s.matches(1)',
    `compilation failed: ERROR: <input>:1:15: found no matching overload for 'matches' applied to 'string.(int)'`,
  ],
  [
    'size(self.i) == 1',
    `compilation failed: ERROR: <input>:1:5: found no matching overload for 'size' applied to '(int)'`,
  ],
  [
    'self.li == self.ls',
    `compilation failed: ERROR: <input>:1:9: found no matching overload for '_==_' applied to '(list(int), list(string))'`,
  ],
  [
    'self.n == self.i',
    `compilation failed: ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(double, int)'`,
  ],
  [
    'self.i == 5u',
    `compilation failed: ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(int, uint)'`,
  ],
  [
    'self.i == 5.0',
    `compilation failed: ERROR: <input>:1:8: found no matching overload for '_==_' applied to '(int, double)'`,
  ],
  ['int("12x") == 12', `program instantiation failed: type conversion error from 'string' to 'int'`],
  ['int(1e30) == 1', 'program instantiation failed: integer overflow'],
  ['bool("x")', `program instantiation failed: type conversion error from 'string' to 'bool'`],
  [
    'cel.bind(x, 1, x == 1)',
    `compilation failed: ERROR: <input>:1:1: undeclared reference to 'cel' (in container '')
ERROR: <input>:1:9: undeclared reference to 'bind' (in container '')
ERROR: <input>:1:10: undeclared reference to 'x' (in container '')
ERROR: <input>:1:16: undeclared reference to 'x' (in container '')`,
  ],
  [
    'self.ls.distinct() == self.ls',
    `compilation failed: ERROR: <input>:1:17: undeclared reference to 'distinct' (in container '')`,
  ],
  [
    'self.li.sort() == [1,2,3]',
    `compilation failed: ERROR: <input>:1:13: undeclared reference to 'sort' (in container '')`,
  ],
  [
    'math.greatest(1,2) == 2',
    `compilation failed: ERROR: <input>:1:1: undeclared reference to 'math' (in container '')
ERROR: <input>:1:14: undeclared reference to 'greatest' (in container '')`,
  ],
  [
    '"abc".reverse() == "cba"',
    `compilation failed: ERROR: <input>:1:14: undeclared reference to 'reverse' (in container '')`,
  ],
  [
    'self.o.nul == null',
    `compilation failed: ERROR: <input>:1:12: found no matching overload for '_==_' applied to '(string, null)'`,
  ],
  ['dyn(self.by).foo', 'cel expression must evaluate to a bool'],
  ['self.any.foo', `compilation failed: ERROR: <input>:1:9: undefined field 'foo'`],
  [
    'quantity("1").sign() == 1',
    `compilation failed: ERROR: <input>:1:19: found no matching overload for 'sign' applied to 'kubernetes.Quantity.()'`,
  ],
  [
    'dyn(1).sign() == 1',
    `compilation failed: ERROR: <input>:1:12: found no matching overload for 'sign' applied to 'dyn.()'`,
  ],
  [
    'optional.of(1) == optional.of(1.0)',
    `compilation failed: ERROR: <input>:1:16: found no matching overload for '_==_' applied to '(optional_type(int), optional_type(double))'`,
  ],
  [
    'timestamp("2024-01-02t03:04:05z") == timestamp("2024-01-02T03:04:05Z")',
    'compilation failed: ERROR: <input>:1:11: invalid timestamp argument',
  ],
]
