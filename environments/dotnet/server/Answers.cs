// What a function returned, as an HTTP response.
using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Text.Json;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;

namespace Fission.Server
{
    static class Answers
    {
        static readonly JsonSerializerOptions Format = new JsonSerializerOptions
        {
            PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
            PropertyNameCaseInsensitive = true,
        };

        internal static async Task Write(HttpContext context, object result)
        {
            var response = context.Response;
            if (result is FissionResponse answer)
            {
                response.StatusCode = answer.Status;
                foreach (var header in answer.Headers) response.Headers[header.Key] = header.Value;
                result = answer.Body;
            }
            else if (result == null)
            {
                response.StatusCode = 204;
                return;
            }
            switch (result)
            {
                case null:
                    await Bytes(context, null, Array.Empty<byte>());
                    break;
                case string text:
                    await Bytes(context, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes(text));
                    break;
                case byte[] bytes:
                    await Bytes(context, "application/octet-stream", bytes);
                    break;
                case Stream stream:
                    Default(response, "application/octet-stream");
                    using (stream) await Copy(stream, context);
                    break;
                case IAsyncEnumerable<string> chunks:
                    Default(response, "text/plain; charset=utf-8");
                    await foreach (var chunk in chunks.WithCancellation(context.RequestAborted))
                        await Chunk(context, Encoding.UTF8.GetBytes(chunk));
                    break;
                case IAsyncEnumerable<byte[]> chunks:
                    Default(response, "application/octet-stream");
                    await foreach (var chunk in chunks.WithCancellation(context.RequestAborted)) await Chunk(context, chunk);
                    break;
                default:
                    await Bytes(
                        context,
                        "application/json; charset=utf-8",
                        JsonSerializer.SerializeToUtf8Bytes(result, result.GetType(), Format));
                    break;
            }
        }

        static void Default(HttpResponse response, string type)
        {
            if (type != null && string.IsNullOrEmpty(response.ContentType)) response.ContentType = type;
        }

        static Task Bytes(HttpContext context, string type, byte[] bytes)
        {
            Default(context.Response, type);
            // A status such as 204 or 304 has neither.
            if (bytes.Length == 0 && (context.Response.StatusCode == 204 || context.Response.StatusCode == 304))
                return Task.CompletedTask;
            context.Response.ContentLength = bytes.Length;
            return context.Request.Method == "HEAD" ? Task.CompletedTask : context.Response.Body.WriteAsync(bytes, 0, bytes.Length);
        }

        static async Task Copy(Stream stream, HttpContext context)
        {
            var buffer = new byte[64 * 1024];
            int read;
            while ((read = await stream.ReadAsync(buffer, 0, buffer.Length, context.RequestAborted)) > 0)
                await Chunk(context, buffer.AsMemory(0, read));
        }

        /// Sent at once, no faster than the client takes it.
        static async Task Chunk(HttpContext context, ReadOnlyMemory<byte> chunk)
        {
            await context.Response.Body.WriteAsync(chunk, context.RequestAborted);
            await context.Response.Body.FlushAsync(context.RequestAborted);
        }
    }
}
