/** Why conformance specs do not pass: causes, each with the specs that it keeps from passing. */
export interface Reason {
  title: string
  /** The cause, in sentences. */
  why: string
  /** Of names of specs; the first reason that matches counts. */
  specs: RegExp
}

export const REASONS: readonly Reason[] = []
