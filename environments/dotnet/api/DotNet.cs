// Fission.DotNet.Common: what functions of the image dotnet8-env are written against; and Fission.FissionResponse, an
// answer with a status and headers, for functions of every image. What needs System.Text.Json is in Json.cs.
using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading.Tasks;

namespace Fission.DotNet.Common
{
    /// <summary>One call of the function.</summary>
    public partial class FissionContext
    {
        protected Stream _content;
        protected Dictionary<string, object> _arguments;
        protected Dictionary<string, string> _headers;
        protected Dictionary<string, string> _parameters;

        public FissionContext(
            Stream body,
            Dictionary<string, object> arguments,
            Dictionary<string, string> headers,
            Dictionary<string, string> parameters)
        {
            _content = body ?? throw new ArgumentNullException(nameof(body));
            _arguments = arguments ?? throw new ArgumentNullException(nameof(arguments));
            _headers = headers ?? throw new ArgumentNullException(nameof(headers));
            _parameters = parameters ?? throw new ArgumentNullException(nameof(parameters));
        }

        protected string GetHeaderValue(string key, string defaultValue = null) =>
            _headers.TryGetValue(key, out var value) ? value : defaultValue;

        /// <summary>The query, decoded.</summary>
        public Dictionary<string, object> Arguments => _arguments;

        /// <summary>Parameters of the route's path, by name.</summary>
        public Dictionary<string, string> Parameters => _parameters;

        public string TraceID => GetHeaderValue("traceparent") ?? Guid.NewGuid().ToString();
        public string FunctionName => GetHeaderValue("X-Fission-Function-Name");
        public string Namespace => GetHeaderValue("X-Fission-Function-Namespace");
        public string ResourceVersion => GetHeaderValue("X-Fission-Function-Resourceversion");
        public string UID => GetHeaderValue("X-Fission-Function-Uid");
        public string Trigger => GetHeaderValue("Source-Name");
        public string ContentType => GetHeaderValue("Content-Type");
        public int ContentLength => int.TryParse(GetHeaderValue("Content-Length"), out var length) ? length : 0;
        public Stream Content => _content;

        /// <summary>The whole body as UTF-8, wherever the stream stands.</summary>
        public async Task<string> ContentAsString()
        {
            _content.Position = 0;
            using (var reader = new StreamReader(_content, Encoding.UTF8, false, 4096, leaveOpen: true))
                return await reader.ReadToEndAsync();
        }

        /// <summary>The whole body, which is JSON.</summary>
        public Task<T> ContentAs<T>() => ContentAs<T>(null);
    }

    /// <summary>A call by HTTP.</summary>
    public class FissionHttpContext : FissionContext
    {
        readonly string _method;

        public FissionHttpContext(
            Stream body,
            string method,
            Dictionary<string, object> arguments,
            Dictionary<string, string> headers,
            Dictionary<string, string> parameters) : base(body, arguments, headers, parameters)
        {
            _method = method;
        }

        /// <summary>By name, in any case.</summary>
        public Dictionary<string, string> Headers => _headers;

        /// <summary>What the client asked for, without the query; "/" when the platform does not say.</summary>
        public string Url => (GetHeaderValue("X-Fission-Full-Url") ?? "/").Split('?')[0];

        public string Method => _method;
        public string Host => GetHeaderValue("X-Forwarded-Host");
        public int Port => int.TryParse(GetHeaderValue("X-Forwarded-Port"), out var port) ? port : 0;
        public string UserAgent => GetHeaderValue("User-Agent");
    }

    /// <summary>A call for a message of a queue.</summary>
    public class FissionMqContext : FissionContext
    {
        public FissionMqContext(
            Stream body,
            Dictionary<string, object> arguments,
            Dictionary<string, string> headers,
            Dictionary<string, string> parameters) : base(body, arguments, headers, parameters)
        {
        }

        public string Topic => GetHeaderValue("Topic");
        public string ErrorTopic => GetHeaderValue("Errortopic");
        public string ResponseTopic => GetHeaderValue("Resptopic");
    }

    /// <summary>Writes lines to the function's log.</summary>
    public interface ILogger
    {
        void LogInformation(string message);
        void LogDebug(string message);
        void LogWarning(string message);
        void LogError(string message);
        void LogCritical(string message);
        void LogError(string message, Exception exception);
    }

    /// <summary>Which pages of other origins may call the function.</summary>
    public interface ICorsPolicy
    {
        void AllowAnyOrigin();
        void AllowAnyHeader();
        void AllowAnyMethod();
        void AllowCredentials();
        void WithOrigin(string[] origin);
        void WithHeader(string[] header);
        void WithMethod(string[] method);
    }
}

namespace Fission
{
    /// <summary>An answer with more than a body. An extension: Fission's own images do not have it.</summary>
    public class FissionResponse
    {
        public int Status { get; set; } = 200;

        public Dictionary<string, string> Headers { get; set; } = new Dictionary<string, string>();

        /// <summary>Anything a function may return.</summary>
        public object Body { get; set; }
    }
}
