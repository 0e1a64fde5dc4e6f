// A loaded function: what is called, with which context of which generation.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.DependencyInjection;
using Common = Fission.DotNet.Common;
using Core = Fission.DotNetCore.Api;

namespace Fission.Server
{
    sealed class Function
    {
        /// Bytes of a request body that is kept in memory.
        const int MemoryBodyBytes = 1024 * 1024;

        const string ParameterPrefix = "X-Fission-Params-";
        const BindingFlags Everything = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;

        static readonly Core.Logger CoreLogger = new Core.Logger();
        static readonly Common.ILogger CommonLogger = new ConsoleLogger();

        readonly Type type;
        readonly MethodInfo execute;
        readonly ParameterInfo[] parameters;
        readonly IServiceProvider services;
        readonly Cors cors;
        readonly string package;

        internal Function(Type type, MethodInfo execute, string package)
        {
            this.type = type;
            this.execute = execute;
            this.package = package;
            parameters = execute.GetParameters();
            var configure = type.GetMethod("ConfigureServices", Everything);
            if (configure != null && configure.IsStatic)
            {
                var collection = new ServiceCollection();
                Invoke(configure, null, collection);
                collection.AddTransient(type);
                services = collection.BuildServiceProvider();
            }
            var policy = type.GetMethod("SetCorsPolicy", Everything);
            if (policy != null && policy.IsStatic)
            {
                cors = new Cors();
                Invoke(policy, null, cors);
            }
        }

        /// The method of a type that takes a context of either generation, or none.
        internal static MethodInfo Entry(Type type) =>
            type.GetMethods().FirstOrDefault(method =>
            {
                var first = method.Name == "Execute" ? method.GetParameters().FirstOrDefault()?.ParameterType : null;
                return first == typeof(Core.FissionContext) || typeof(Common.FissionContext).IsAssignableFrom(first);
            });

        /// Calls it and gives what it returned, awaited.
        internal async Task<object> Call(HttpContext context)
        {
            if (cors != null && Cors.IsPreflight(context.Request))
            {
                return new FissionResponse { Headers = cors.Preflight() };
            }
            var request = context.Request;
            var body = await Body(request);
            var arguments = new object[parameters.Length];
            arguments[0] = parameters[0].ParameterType == typeof(Core.FissionContext) ? CoreContext(request, body) : CommonContext(request, body);
            for (var index = 1; index < arguments.Length; index++) arguments[index] = Argument(parameters[index]);
            var instance = execute.IsStatic ? null : services == null ? Activator.CreateInstance(type) : services.GetService(type);
            var result = await Await(Invoke(execute, instance, arguments));
            foreach (var header in cors?.Simple() ?? Enumerable.Empty<KeyValuePair<string, string>>())
                context.Response.Headers[header.Key] = header.Value;
            return result;
        }

        static object Invoke(MethodInfo method, object instance, params object[] arguments) =>
            method.Invoke(instance, BindingFlags.DoNotWrapExceptions, null, arguments, null);

        object Argument(ParameterInfo parameter)
        {
            if (parameter.ParameterType == typeof(Common.ILogger)) return CommonLogger;
            if (parameter.ParameterType == typeof(Core.Logger)) return CoreLogger;
            if (services?.GetService(parameter.ParameterType) is object service) return service;
            return parameter.HasDefaultValue ? parameter.DefaultValue : null;
        }

        static async Task<object> Await(object result)
        {
            if (!(result is Task task))
            {
                if (result == null || !result.GetType().IsGenericType || result.GetType().GetGenericTypeDefinition() != typeof(ValueTask<>))
                    return result;
                task = (Task)result.GetType().GetMethod("AsTask").Invoke(result, null);
            }
            await task;
            for (var type = task.GetType(); type != null; type = type.BaseType)
            {
                if (!type.IsGenericType || type.GetGenericTypeDefinition() != typeof(Task<>)) continue;
                var value = type.GetProperty("Result").GetValue(task);
                // How the compiler writes a Task without a result.
                return value?.GetType().FullName == "System.Threading.Tasks.VoidTaskResult" ? null : value;
            }
            return null;
        }

        static async Task<Stream> Body(HttpRequest request)
        {
            if (request.ContentLength is long length && length <= MemoryBodyBytes)
            {
                var memory = new MemoryStream((int)length);
                await request.Body.CopyToAsync(memory);
                memory.Position = 0;
                return memory;
            }
            if (request.ContentLength == null && !request.Headers.ContainsKey("Transfer-Encoding")) return new MemoryStream();
            var stream = new FileBufferingReadStream(request.Body, MemoryBodyBytes, Service.MaxBodyBytes, Path.GetTempPath());
            request.HttpContext.Response.RegisterForDispose(stream);
            await stream.CopyToAsync(Stream.Null);
            stream.Position = 0;
            return stream;
        }

        static Dictionary<string, object> Arguments(HttpRequest request) =>
            request.Query.ToDictionary(pair => pair.Key, pair => (object)pair.Value.ToString());

        object CoreContext(HttpRequest request, Stream body)
        {
            var headers = request.Headers.ToDictionary(
                header => header.Key,
                header => (IEnumerable<string>)header.Value.ToArray(),
                StringComparer.OrdinalIgnoreCase);
            var target = request.HttpContext.Features.Get<IHttpRequestFeature>().RawTarget;
            var host = request.Host.HasValue ? request.Host.Value : "localhost";
            var url = target.StartsWith('/') ? $"{request.Scheme}://{host}{target}" : target;
            var seen = new Core.FissionHttpRequest(request.Method, url, headers, body);
            return new Core.FissionContext(Arguments(request), CoreLogger, seen) { PackagePath = package };
        }

        static object CommonContext(HttpRequest request, Stream body)
        {
            var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            var parameters = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            foreach (var header in request.Headers)
            {
                headers[header.Key] = header.Value.ToString();
                if (header.Key.StartsWith(ParameterPrefix, StringComparison.OrdinalIgnoreCase))
                    parameters[header.Key.Substring(ParameterPrefix.Length)] = header.Value.ToString();
            }
            var arguments = Arguments(request);
            if (headers.ContainsKey("Topic")) return new Common.FissionMqContext(body, arguments, headers, parameters);
            return new Common.FissionHttpContext(body, request.Method, arguments, headers, parameters);
        }

        sealed class ConsoleLogger : Common.ILogger
        {
            static void Write(string severity, string message) => Console.WriteLine($"{DateTime.Now:s} {severity}: {message}");

            public void LogInformation(string message) => Write("info", message);

            public void LogDebug(string message) => Write("debug", message);

            public void LogWarning(string message) => Write("warning", message);

            public void LogError(string message) => Write("error", message);

            public void LogCritical(string message) => Write("critical", message);

            public void LogError(string message, Exception exception) => Write("error", $"{message}: {exception}");
        }
    }
}
