import { CLIENT_TYPES, DOCUMENT, readText, renderDocument, typesHeader } from "../generate/openapi.ts";
import type { Outcome } from "./check.ts";

/** What is generated from the schemas must be of the schemas as they are. */
export async function checkOpenApi(): Promise<Outcome> {
  const document = renderDocument();
  if (readText(DOCUMENT) === document && readText(CLIENT_TYPES).startsWith(typesHeader(document))) {
    return { ok: true, output: "" };
  }
  return { ok: false, output: "The API changed. Run `npm run generate` and commit what it writes." };
}
