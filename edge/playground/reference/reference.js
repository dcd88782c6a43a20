// Everything is this server's own: no fonts, proxies, statistics or services of others.
globalThis.Scalar.createApiReference("#reference", {
  url: "../openapi.json",
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  hideModels: true,
  showDeveloperTools: "never",
  telemetry: false,
  withDefaultFonts: false,
});
