/** Labels and annotations of an alert: copied without a prototype, with limits, as text that every store can keep. */

import type { Labels } from "../domain/alert.ts";

/** More names, longer names and longer label values than these make an alert invalid. */
export const labelLimits = { names: 64, nameLength: 256, valueLength: 4_096 } as const;

/** Annotations describe; they never identify. A longer text is cut here, and the alert stays. */
export const annotationLength = 16_384;

const cut = "… (cut)";

/** A copy of the label set, or why it is none. Names are not repeated in the reason: they are input. */
export function copyLabels(value: unknown): Labels | { readonly reason: string } {
  if (!isMap(value)) return { reason: "labels must be an object of texts" };
  const names = Object.keys(value);
  if (names.length === 0) return { reason: "labels must not be empty" };
  if (names.length > labelLimits.names) return { reason: `there are more than ${labelLimits.names} labels` };
  const labels: Record<string, string> = Object.create(null);
  for (const name of names) {
    const text = value[name];
    const reason = faultOfName(name) ?? faultOfLabel(text);
    if (reason !== null) return { reason: `a label ${reason}` };
    labels[name] = text as string;
  }
  return labels;
}

/** A copy of the annotations; absent ones are none. Carriage returns before line feeds are dropped. */
export function copyAnnotations(value: unknown): Labels | { readonly reason: string } {
  const annotations: Record<string, string> = Object.create(null);
  if (value === undefined || value === null) return annotations;
  if (!isMap(value)) return { reason: "annotations must be an object of texts" };
  const names = Object.keys(value);
  if (names.length > labelLimits.names) return { reason: `there are more than ${labelLimits.names} annotations` };
  for (const name of names) {
    const written = value[name];
    if (typeof written !== "string") return { reason: "an annotation is not text" };
    const text = written.includes("\r") ? written.replaceAll("\r\n", "\n") : written;
    const reason = faultOfName(name) ?? faultOfText(text, forbiddenInAnnotation);
    if (reason !== null) return { reason: `an annotation ${reason}` };
    annotations[name] = text.length > annotationLength ? shorten(text) : text;
  }
  return annotations;
}

/** Tells the reason of `copyLabels` from a label set: a label may be called `reason`, but it has a prototype only here. */
export function isFault(copied: Labels | { readonly reason: string }): copied is { readonly reason: string } {
  return Object.getPrototypeOf(copied) !== null;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const forbidden = /[\u0000-\u001f]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const forbiddenInAnnotation = /[\u0000-\u0008\u000b-\u001f]/;

function faultOfName(name: string): string | null {
  if (name === "") return "has an empty name";
  if (name.length > labelLimits.nameLength) return `has a name longer than ${labelLimits.nameLength} characters`;
  return faultOfText(name, forbidden);
}

function faultOfLabel(text: unknown): string | null {
  if (typeof text !== "string") return "is not text";
  if (text.length > labelLimits.valueLength) return `is longer than ${labelLimits.valueLength} characters`;
  return faultOfText(text, forbidden);
}

function faultOfText(text: string, controls: RegExp): string | null {
  if (controls.test(text)) return "contains control characters";
  return text.isWellFormed() ? null : "contains half a surrogate pair";
}

function shorten(text: string): string {
  const kept = text.slice(0, annotationLength - cut.length);
  // A cut through a surrogate pair would leave half of it.
  return (kept.isWellFormed() ? kept : kept.slice(0, -1)) + cut;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
