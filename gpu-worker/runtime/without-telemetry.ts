/**
 * ONNX Runtime's official builds report usage to Microsoft, and leave an identifier on the disk, unless this variable is set before the
 * library is loaded. Import this first. Within a worker thread it takes effect only where the thread shares its process' environment.
 */
process.env.ORT_DISABLE_TELEMETRY = "1";
