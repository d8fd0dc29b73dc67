/** 0001-01-01 and the end of 9999-12-31, as RFC 3339 has years: seconds since the epoch. */
const FIRST_SECOND = -62_135_596_800
const LAST_SECOND = 253_402_300_799

/** A file may say any time of itself, and no answer may fail because of it: the nearest that can be written. */
export function fileTime(seconds: number): number {
  return Math.min(Math.max(seconds, FIRST_SECOND), LAST_SECOND)
}
