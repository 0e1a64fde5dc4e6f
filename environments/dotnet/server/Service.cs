// The protocol: specializes once, then gives every request to the function.
using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Fission.Server
{
    sealed class Service : IHttpApplication<HttpContext>
    {
        /// Bytes of a request body; those above a megabyte wait in a temporary file.
        internal const long MaxBodyBytes = 4L * 1024 * 1024 * 1024;

        const string Unspecialized = "Generic container: no requests supported";

        /// Bytes of a specialize request; it holds the metadata of one object and at most 1 MiB of variables.
        const int MaxLoadBytes = 4 * 1024 * 1024;

        readonly SemaphoreSlim specializing = new SemaphoreSlim(1);
        volatile Function function;
        readonly CancellationTokenSource asked = new CancellationTokenSource();

        /// Cancelled when somebody comes to specialize it.
        internal CancellationToken Asked => asked.Token;

        public HttpContext CreateContext(IFeatureCollection features) => new DefaultHttpContext(features);

        public void DisposeContext(HttpContext context, Exception exception)
        {
        }

        public async Task ProcessRequestAsync(HttpContext context)
        {
            var path = context.Request.Path.Value;
            if (path == "/healthz")
            {
                await Text(context, 200, "");
            }
            else if (context.Request.Method == "POST" && (path == "/v2/specialize" || path == "/specialize"))
            {
                await Specialize(context, path == "/specialize");
            }
            else if (function == null)
            {
                await Text(context, 500, Unspecialized);
            }
            else
            {
                Lines.Enter(context.Request.Headers["X-Fission-Request-ID"].ToString());
                try
                {
                    await Serve(context, function);
                }
                finally
                {
                    Lines.FlushAll();
                }
            }
        }

        async Task Serve(HttpContext context, Function function)
        {
            object result;
            try
            {
                result = await function.Call(context);
            }
            catch (Exception error) when (!(error is Microsoft.AspNetCore.Server.Kestrel.Core.BadHttpRequestException) && !context.RequestAborted.IsCancellationRequested)
            {
                Console.Error.WriteLine(error);
                await Text(context, 400, error.Message);
                return;
            }
            await Answers.Write(context, result);
        }

        async Task Specialize(HttpContext context, bool first)
        {
            asked.Cancel();
            await specializing.WaitAsync();
            try
            {
                if (function != null)
                {
                    await Text(context, 400, "Not a generic container");
                    return;
                }
                string path, entry;
                try
                {
                    (path, entry) = first ? (FirstVersionPath(), "") : await ReadLoad(context);
                }
                catch (Exception error) when (error is JsonException || error is InvalidDataException || error is InvalidOperationException)
                {
                    await Text(context, 400, $"the specialize request cannot be read: {error.Message}");
                    return;
                }
                try
                {
                    function = Loading.Load(path, entry);
                }
                catch (Exception error)
                {
                    var why = Loading.Explain(error);
                    Console.Error.WriteLine(why);
                    await Text(context, 500, why);
                    return;
                }
                finally
                {
                    Lines.FlushAll();
                }
                await Text(context, 200, "");
            }
            finally
            {
                specializing.Release();
            }
        }

        /// Where version 1 of the protocol keeps its code.
        static string FirstVersionPath()
        {
            var folder = Environment.GetEnvironmentVariable("USERFUNCVOL");
            return Path.Combine(string.IsNullOrEmpty(folder) ? "/userfunc" : folder, "user");
        }

        static async Task<(string, string)> ReadLoad(HttpContext context)
        {
            if (context.Request.ContentLength > MaxLoadBytes) throw new InvalidDataException($"it is over {MaxLoadBytes} bytes");
            using (var load = await JsonDocument.ParseAsync(context.Request.Body))
            {
                var root = load.RootElement;
                if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("filepath", out var path))
                    throw new InvalidDataException("it has no filepath");
                if (root.TryGetProperty("env", out var variables)) SetVariables(variables);
                var named = root.TryGetProperty("functionName", out var name) && name.ValueKind != JsonValueKind.Null;
                return (path.GetString(), named ? name.GetString() : "");
            }
        }

        /// The function's own, before any of its code runs.
        static void SetVariables(JsonElement variables)
        {
            if (variables.ValueKind == JsonValueKind.Null) return;
            if (variables.ValueKind != JsonValueKind.Object) throw new InvalidDataException("env must be names with strings");
            var all = variables.EnumerateObject().ToArray();
            if (all.Any(variable => variable.Value.ValueKind != JsonValueKind.String))
                throw new InvalidDataException("env must be names with strings");
            foreach (var variable in all) Environment.SetEnvironmentVariable(variable.Name, variable.Value.GetString());
        }

        internal static Task Text(HttpContext context, int status, string text)
        {
            var bytes = Encoding.UTF8.GetBytes(text);
            var response = context.Response;
            response.StatusCode = status;
            response.ContentType = "text/plain; charset=utf-8";
            response.ContentLength = bytes.Length;
            return context.Request.Method == "HEAD" ? Task.CompletedTask : response.Body.WriteAsync(bytes, 0, bytes.Length);
        }
    }
}
