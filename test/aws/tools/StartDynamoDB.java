import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;

/**
 * Starts DynamoDB Local on a free port of loopback only, which its command cannot
 * do, and prints its URL once it listens. It takes the command's arguments.
 */
public final class StartDynamoDB {
    public static void main(String[] args) throws Exception {
        DynamoDBProxyServer dynamo = ServerRunner.createServerFromCommandLineArgs(args);
        var field = DynamoDBProxyServer.class.getDeclaredField("server");
        field.setAccessible(true);
        ServerConnector connector = (ServerConnector) ((Server) field.get(dynamo)).getConnectors()[0];
        connector.setHost("127.0.0.1");
        connector.setPort(0);
        dynamo.safeStart();
        System.out.println("ready http://127.0.0.1:" + connector.getLocalPort());
        dynamo.join();
    }
}
