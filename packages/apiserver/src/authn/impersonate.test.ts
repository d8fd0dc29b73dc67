import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Attributes, Authorize } from '../authz/attributes.ts'
import type { RequestHeaders } from './authenticate.ts'
import { impersonate } from './impersonate.ts'

const boss = { username: 'boss', groups: ['system:authenticated'] }
const everything: Authorize = () => ({ allowed: true, reason: '' })

function asked(headers: RequestHeaders): Omit<Attributes, 'user'>[] {
  const demands: Omit<Attributes, 'user'>[] = []
  impersonate(boss, headers, ({ user: _user, ...attributes }) => {
    demands.push(attributes)
    return { allowed: true, reason: '' }
  })
  return demands
}

describe('impersonate', () => {
  test.each<[name: string, headers: RequestHeaders, expected: unknown]>([
    ['no header leaves the user as it is', { host: ['x'] }, boss],
    [
      'a user is authenticated',
      { 'impersonate-user': ['jane'] },
      { username: 'jane', groups: ['system:authenticated'] },
    ],
    [
      'groups in their order, and authenticated',
      { 'impersonate-user': ['jane'], 'impersonate-group': ['b', 'a'] },
      { username: 'jane', groups: ['b', 'a', 'system:authenticated'] },
    ],
    [
      'the unauthenticated stay so',
      { 'impersonate-user': ['jane'], 'impersonate-group': ['system:unauthenticated'] },
      { username: 'jane', groups: ['system:unauthenticated'] },
    ],
    [
      'anonymous',
      { 'impersonate-user': ['system:anonymous'] },
      { username: 'system:anonymous', groups: ['system:unauthenticated'] },
    ],
    [
      'a service account has its groups',
      { 'impersonate-user': ['system:serviceaccount:a:b'] },
      {
        username: 'system:serviceaccount:a:b',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'],
      },
    ],
    [
      'a service account with groups given has those alone',
      { 'impersonate-user': ['system:serviceaccount:a:b'], 'impersonate-group': ['g'] },
      { username: 'system:serviceaccount:a:b', groups: ['g', 'system:authenticated'] },
    ],
    [
      'uid and extra',
      {
        'impersonate-user': ['jane'],
        'impersonate-uid': ['7'],
        'impersonate-extra-acme.com%2fproject': ['x', 'y'],
        'impersonate-extra-100%': ['z'],
      },
      {
        username: 'jane',
        uid: '7',
        groups: ['system:authenticated'],
        extra: { 'acme.com/project': ['x', 'y'], '100%': ['z'] },
      },
    ],
    [
      'UTF-8',
      { 'impersonate-user': [Buffer.from('jürgen').toString('latin1')] },
      { username: 'jürgen', groups: ['system:authenticated'] },
    ],
  ])('%s', (_name, headers, expected) => {
    expect(impersonate(boss, headers, everything)).toEqual(expected)
  })

  test('every part is asked for by itself', () => {
    expect(
      asked({
        'impersonate-user': ['system:serviceaccount:a:b'],
        'impersonate-group': ['g'],
        'impersonate-uid': ['7'],
        'impersonate-extra-scopes': ['view', 'edit'],
      }),
    ).toEqual([
      { verb: 'impersonate', group: '', resource: 'serviceaccounts', namespace: 'a', name: 'b' },
      { verb: 'impersonate', group: '', resource: 'groups', name: 'g' },
      {
        verb: 'impersonate',
        group: 'authentication.k8s.io',
        resource: 'userextras',
        subresource: 'scopes',
        name: 'view',
      },
      {
        verb: 'impersonate',
        group: 'authentication.k8s.io',
        resource: 'userextras',
        subresource: 'scopes',
        name: 'edit',
      },
      { verb: 'impersonate', group: 'authentication.k8s.io', resource: 'uids', name: '7' },
    ])
    // What only looks like a service account is a user of that name.
    for (const name of ['system:serviceaccount:a', 'system:serviceaccount:a:b:c', 'system:serviceaccount:A:b']) {
      expect(asked({ 'impersonate-user': [name] })).toEqual([
        { verb: 'impersonate', group: '', resource: 'users', name },
      ])
    }
  })

  test('a part that is not allowed is refused as kube-apiserver does', () => {
    const usersOnly: Authorize = (attributes) => ({
      allowed: 'resource' in attributes && attributes.resource === 'users',
      reason: '',
    })
    expect(() =>
      impersonate(boss, { 'impersonate-user': ['jane'], 'impersonate-group': ['system:masters'] }, usersOnly),
    ).toThrow(
      'groups "system:masters" is forbidden: User "boss" cannot impersonate resource "groups" in API group "" at the cluster scope',
    )
  })

  test('groups, uid or extra without a user are refused', () => {
    for (const headers of [
      { 'impersonate-group': ['system:masters'] },
      { 'impersonate-user': [''], 'impersonate-group': ['system:masters'] },
      { 'impersonate-uid': ['1'] },
      { 'impersonate-extra-x': ['1'] },
    ]) {
      expect(() => impersonate(boss, headers, everything)).toThrow(/without impersonating a user/)
    }
  })

  test('a line stays one group, whatever is in it', () => {
    const { groups } = impersonate(
      boss,
      { 'impersonate-user': ['jane'], 'impersonate-group': ['a, system:masters', 'b,system:masters'] },
      everything,
    )
    expect(groups).toEqual(['a, system:masters', 'b,system:masters', 'system:authenticated'])
  })

  test('keys that are special to JavaScript are keys like others', () => {
    const user = impersonate(
      boss,
      { 'impersonate-user': ['jane'], 'impersonate-extra-__proto__': ['x'], 'impersonate-extra-constructor': ['y'] },
      everything,
    )
    expect(Object.entries(user.extra ?? {})).toEqual([
      ['__proto__', ['x']],
      ['constructor', ['y']],
    ])
    expect(Object.getPrototypeOf(user.extra)).toBe(Object.prototype)
  })

  test('bytes that are no UTF-8 are refused', () => {
    expect(() => impersonate(boss, { 'impersonate-user': ['\xff'] }, everything)).toThrow('not valid UTF-8')
  })

  test('nobody becomes more than what was allowed', () => {
    const values = fc.array(fc.string({ minLength: 1 }), { maxLength: 3 })
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), values, values, fc.func(fc.boolean()), (name, groups, extra, decide) => {
        const latin1 = (text: string) => Buffer.from(text).toString('latin1')
        const allowed: string[] = []
        const headers = {
          'impersonate-user': [latin1(name)],
          'impersonate-group': groups.map(latin1),
          'impersonate-extra-k': extra.map(latin1),
        }
        try {
          const user = impersonate(boss, headers, (attributes) => {
            if (!('resource' in attributes) || !decide(attributes.resource, attributes.name)) {
              return { allowed: false, reason: '' }
            }
            allowed.push(`${attributes.resource}/${attributes.name}`)
            return { allowed: true, reason: '' }
          })
          expect(allowed).toContain(`users/${user.username}`)
          for (const group of user.groups.filter((one) => one !== 'system:authenticated')) {
            expect(allowed).toContain(`groups/${group}`)
          }
          for (const value of user.extra?.k ?? []) expect(allowed).toContain(`userextras/${value}`)
        } catch (error) {
          expect(String(error)).toMatch(/is forbidden: User "boss" cannot impersonate/)
        }
      }),
    )
  })
})
