/** Answers go to standard output as JSON, for people and for programs such as jq. */
export const printJson = (value: unknown) => console.log(JSON.stringify(value, null, 2));
