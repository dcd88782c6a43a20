import type { paths } from "./document.ts";

/** The paths of the API. */
type Path = keyof paths;
export type Method = "get" | "post" | "put" | "patch" | "delete";

/** The operation of a path and a method, where there is one. */
type OperationOf<P extends Path, M extends Method> = paths[P][M];

/** The paths that take this method. */
export type PathOf<M extends Method> = {
  [P in Path]: OperationOf<P, M> extends { responses: object } ? P : never;
}[Path];

type ParametersOf<O, Place extends string> = O extends { parameters: { [place in Place]: infer Values extends object } }
  ? { [place in Place]: Values }
  : O extends { parameters: { [place in Place]?: infer Values } }
    ? { [place in Place]?: NonNullable<Values> }
    : unknown;

type BodyOf<O> = O extends { requestBody: { content: { "application/json": infer Body } } }
  ? { body: Body }
  : O extends { requestBody?: { content: { "application/json": infer Body } } }
    ? { body?: Body }
    : unknown;

/** What a request is made of, beside its path and method. */
export type Input<P extends Path, M extends Method> = ParametersOf<OperationOf<P, M>, "path"> &
  ParametersOf<OperationOf<P, M>, "query"> &
  BodyOf<OperationOf<P, M>>;

type Responses<O> = O extends { responses: infer R } ? R : never;
type JsonOf<R> = R extends { content: { "application/json": infer Body } } ? Body : never;

/** What the operation answers as JSON where it succeeds. */
export type Output<P extends Path, M extends Method> = {
  [Status in keyof Responses<OperationOf<P, M>> & (200 | 201 | 202)]: JsonOf<Responses<OperationOf<P, M>>[Status]>;
}[keyof Responses<OperationOf<P, M>> & (200 | 201 | 202)];
